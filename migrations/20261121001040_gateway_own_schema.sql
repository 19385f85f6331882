-- Which input a person's idempotency key stands for is no view: the gateway writes it before it sends the command. The
-- schema `views` holds what is folded from the log and nothing else, so that it can be built anew as a whole.

create schema gateway;
call es.open_schema('gateway');
alter table views.idempotency_key set schema gateway;
