DROP TABLE product_vendors;
DROP TABLE event_keys;
