-- The orchestrator's own records, apart from the published tables.
create database orchestrator;
