-- The hash of an invitation's input could be guessed from a name, so it goes when the person is forgotten; the command
-- is what the person's id is derived from.

alter table views.idempotency_key add column command_id uuid;
create index invitation_by_command on views.idempotency_key (command_id) where mutation = 'inviteUser';
