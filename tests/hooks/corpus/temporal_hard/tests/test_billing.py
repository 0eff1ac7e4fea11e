from billing.flows import Billing


def test_it_is_a_workflow():
    assert Billing
