-- What only the backbone and the platform's consumers do, nobody else may.

revoke execute on function es.ensure_partitions(bigint) from public, pf_partner, pf_customer;
revoke insert, update on es.consumer from pf_partner, pf_customer;
