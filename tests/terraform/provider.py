"""A provider for Terraform that knows the arguments of a real one and nothing else: `provider.py FACTS.json`.

It stands for the real one in `terraform validate` and in `terraform test` with mock_provider, neither of which creates
anything. tools/terraform_facts.py writes the facts. What they do not say is not checked: which values an argument
takes, which arguments exclude each other, how many blocks there may be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tf.provider
from tf import runner
from tf.gen import tfplugin_pb2 as plugin
from tf.gen import tfplugin_pb2_grpc as service

SIMPLE = {"s": '"string"', "n": '"number"', "b": '"bool"', "*": '"dynamic"'}
COLLECTIONS = {"L": "list", "S": "set", "M": "map"}
# The field `write_only`, which is newer than the library: no state keeps the values of arguments that end in _wo.
WRITE_ONLY = bytes([11 << 3, 1])
BLOCK = plugin.Schema.NestedBlock.NestingMode
NESTING = {"list": BLOCK.LIST, "set": BLOCK.SET, "single": BLOCK.SINGLE, "map": BLOCK.MAP}


def type_of(kind: str | dict[str, Any]) -> str:
    """A type as Terraform writes it in JSON. Objects are attributes, as in providers of protocol 5."""
    if isinstance(kind, str):
        return SIMPLE.get(kind) or f'["{COLLECTIONS[kind[0]]}",{type_of(kind[1:])}]'
    nesting = kind.get("a") or kind["b"]
    fields = ",".join(f'"{name}":{type_of(inner)}' for name, (_, inner) in kind["f"].items())
    item = f'["object",{{{fields}}}]'
    return item if nesting == "single" else f'["{nesting}",{item}]'


def block(fields: dict[str, Any]) -> plugin.Schema.Block:
    result = plugin.Schema.Block()
    for name, (flags, kind) in fields.items():
        if isinstance(kind, dict) and "b" in kind:
            nesting = NESTING[kind["b"]]
            least = 1 if "r" in flags and nesting != BLOCK.SINGLE else 0
            result.block_types.append(
                plugin.Schema.NestedBlock(type_name=name, block=block(kind["f"]), nesting=nesting, min_items=least)
            )
        else:
            flag = {"required": "r" in flags, "optional": "o" in flags, "computed": "c" in flags}
            attribute = plugin.Schema.Attribute(name=name, type=type_of(kind).encode(), **flag)
            if name.endswith("_wo"):
                attribute.MergeFromString(WRITE_ONLY)
            result.attributes.append(attribute)
    return result


def schemas(types: dict[str, Any]) -> dict[str, plugin.Schema]:
    return {name: plugin.Schema(version=0, block=block(fields)) for name, fields in types.items()}


class StandIn(service.ProviderServicer):
    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def GetMetadata(self, request, context):  # noqa: N802
        return plugin.GetMetadata.Response(
            server_capabilities=plugin.ServerCapabilities(get_provider_schema_optional=True),
            resources=[plugin.GetMetadata.ResourceMetadata(type_name=name) for name in self.facts["resource"]],
            data_sources=[plugin.GetMetadata.DataSourceMetadata(type_name=name) for name in self.facts["data"]],
        )

    def GetProviderSchema(self, request, context):  # noqa: N802
        return plugin.GetProviderSchema.Response(
            provider=plugin.Schema(version=0, block=block(self.facts["provider"])),
            resource_schemas=schemas(self.facts["resource"]),
            data_source_schemas=schemas(self.facts["data"]),
        )

    def ValidateProviderConfig(self, request, context):  # noqa: N802
        return plugin.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):  # noqa: N802
        return plugin.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):  # noqa: N802
        return plugin.ValidateDataResourceConfig.Response()


class Named:
    """What the runner asks of a provider when it serves one."""

    def full_name(self) -> str:
        return Path(sys.argv[1]).stem


if __name__ == "__main__":
    served = StandIn(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    tf.provider.ProviderServicer = lambda _: served
    runner.run_provider(Named(), sys.argv[1:])
