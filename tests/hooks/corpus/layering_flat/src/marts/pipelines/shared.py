from marts.pipelines import clocks as clock
