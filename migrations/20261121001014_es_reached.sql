-- How far places have been given out, for those who ask whether a partition is full.
grant select on sequence es.event_pos to pf_platform;
