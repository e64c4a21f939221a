DROP TABLE product_vendors;
DROP TABLE ratings;
DROP TABLE event_keys;
