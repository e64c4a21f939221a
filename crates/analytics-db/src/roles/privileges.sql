-- What each role may do in the schemas, as their owner. `analytics-jobs migrate` and
-- `partitions` do this for what they create.
GRANT USAGE ON SCHEMA public TO PREFIX_ingest, PREFIX_admin, PREFIX_reader;

DO $$
DECLARE
    wider record;
    narrower record;
BEGIN
    -- What belongs to somebody else is not the service's.
    FOR wider IN
        SELECT CASE relkind
            WHEN 'S' THEN format('GRANT USAGE, SELECT ON SEQUENCE %s TO PREFIX_ingest, PREFIX_admin', oid::regclass)
            ELSE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %1$s TO PREFIX_ingest, PREFIX_admin; '
                'GRANT SELECT ON %1$s TO PREFIX_reader', oid::regclass)
        END AS command
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
            AND relowner = 'PREFIX_owner'::regrole
    LOOP
        EXECUTE wider.command;
    END LOOP;
    FOR narrower IN
        SELECT format('REVOKE %s ON %s FROM %s', privileges, to_regclass('public.' || relation), roles) AS command
        FROM (VALUES
            -- Only migrations and upkeep change these.
            ('__diesel_schema_migrations', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('schema_compatibility', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('service_settings', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('business_clock', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('identity_generations', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('metadata_indexes', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            -- What is logged is not deleted; ingest does not change it either.
            ('event_logs', 'UPDATE, DELETE', 'PREFIX_ingest'),
            ('event_logs', 'DELETE', 'PREFIX_admin'),
            ('order_lines', 'UPDATE, DELETE', 'PREFIX_ingest'),
            ('order_lines', 'DELETE', 'PREFIX_admin'),
            ('reversals', 'DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('reversal_entries', 'UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('unpaid_orders', 'DELETE', 'PREFIX_ingest, PREFIX_admin'),
            ('payments', 'UPDATE, DELETE', 'PREFIX_ingest, PREFIX_admin'),
            -- Who did what is only added to, and not by ingest.
            ('audit_log', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            ('audit_log', 'UPDATE, DELETE', 'PREFIX_admin'),
            -- Anomalies are found by jobs.
            ('anomalies', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            ('judgements', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            ('notifications', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            -- Proofs are made by verify.
            ('proofs', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            ('proved_days', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            -- Statements and months are made by jobs; statements are only added to.
            ('statements', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            ('statements', 'UPDATE, DELETE', 'PREFIX_admin'),
            ('statement_closings', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest'),
            ('statement_closings', 'DELETE', 'PREFIX_admin'),
            ('months', 'INSERT, UPDATE, DELETE', 'PREFIX_ingest')
        ) AS narrower (relation, privileges, roles)
        WHERE to_regclass('public.' || relation) IS NOT NULL
    LOOP
        EXECUTE narrower.command;
    END LOOP;
    -- The partitions of the log, as their parents.
    FOR narrower IN
        SELECT format('REVOKE UPDATE, DELETE ON %s FROM PREFIX_ingest; REVOKE DELETE ON %s FROM PREFIX_admin', name, name)
            AS command
        FROM (SELECT inhrelid::regclass AS name FROM pg_inherits
              WHERE inhparent IN (to_regclass('public.event_logs'), to_regclass('public.order_lines'))) AS partition
    LOOP
        EXECUTE narrower.command;
    END LOOP;
    IF to_regprocedure('public.summarize_newest(regclass, integer)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION summarize_newest(regclass, integer) TO PREFIX_ingest;
    END IF;
    IF to_regnamespace('bi') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA bi TO PREFIX_admin, PREFIX_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA bi TO PREFIX_admin, PREFIX_reader;
    END IF;
END
$$;
