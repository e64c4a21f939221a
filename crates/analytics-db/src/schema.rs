//! The tables that are used by column through Diesel: for COPY and for queries. All other
//! statements are SQL text.

diesel::table! {
    event_logs (id) {
        id -> Uuid,
        event_type -> Varchar,
        user_id -> Nullable<Varchar>,
        metadata -> Nullable<Jsonb>,
        created_at -> Timestamptz,
        ingested_at -> Timestamptz,
        batch_id -> BigInt,
        rules_version -> SmallInt,
        product_id -> Nullable<Varchar>,
        vendor_id -> Nullable<Varchar>,
        vendor_learned -> Bool,
        stars -> Nullable<SmallInt>,
        seal -> BigInt,
    }
}

diesel::table! {
    order_lines (event_id, line) {
        event_id -> Uuid,
        line -> Integer,
        product_id -> Nullable<Varchar>,
        vendor_id -> Nullable<Varchar>,
        vendor_learned -> Bool,
        quantity -> Integer,
        amount -> BigInt,
        currency -> Varchar,
    }
}

diesel::table! {
    metrics (metric_type) {
        id -> Uuid,
        #[sql_name = "type"]
        metric_type -> Varchar,
        value -> Nullable<BigInt>,
        metadata -> Nullable<Jsonb>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    watermark (only_row) {
        only_row -> Bool,
        number -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(metrics, watermark);
