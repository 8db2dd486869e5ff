-- Holds the number of a migration that is made at the same time: it goes when that one comes.
SELECT 1;
