-- Rules look at a patch in the order in which they were made: the ids are random.

alter table approvals.rule add column position bigint generated always as identity;
