-- Rows for the tables of base/: the same ones every time, on MariaDB and on MySQL, in
-- seconds. Ten digits joined with themselves count; CRC32 of the number stands in for
-- chance; ELT picks names from lists.

SET SESSION sql_log_bin = 0, unique_checks = 0;

CREATE TABLE `demo_digit` (`d` int NOT NULL PRIMARY KEY);
INSERT INTO `demo_digit` VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
CREATE TABLE `demo_number` (`n` int NOT NULL PRIMARY KEY);
INSERT INTO `demo_number`
  SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d FROM `demo_digit` a, `demo_digit` b,
    `demo_digit` c, `demo_digit` e;

INSERT INTO `products` (`id`, `sku`, `title`, `price`, `stock`)
  SELECT n, CONCAT(ELT(1 + n % 5, 'TEA', 'CUP', 'POT', 'BOX', 'SET'), '-', LPAD(n, 5, '0')),
    CONCAT(
      ELT(1 + CRC32(n) % 8, 'Smoked', 'Early spring', 'Hand-rolled', 'Glazed', 'Cast-iron',
        'Travel', 'Everyday', 'Grandmother''s'), ' ',
      ELT(1 + CRC32(n * 7) % 7, 'Assam', 'Darjeeling', 'Sencha', 'Oolong', 'Rooibos', 'Mint',
        'Chamomile'), ' ',
      ELT(1 + n % 5, 'tea', 'cup', 'pot', 'gift box', 'set')),
    2.50 + CRC32(n * 3) % 9000 / 100, CRC32(n * 11) % 1200
  FROM `demo_number` WHERE n <= 2000;

INSERT INTO `customers`
  (`id`, `email`, `given_name`, `family_name`, `city`, `country`, `phone`, `registered_at`)
  SELECT i, CONCAT(LOWER(given), '.', LOWER(family), i, '@', provider), given, family,
    SUBSTRING_INDEX(place, ',', 1), SUBSTRING_INDEX(place, ',', -1),
    IF(i % 3 = 0, NULL, CONCAT('+', 30 + i % 19, ' ', LPAD(CRC32(i) % 1000000000, 9, '0'))),
    TIMESTAMP('2019-03-01 08:00:00') + INTERVAL CRC32(i * 5) % 189000000 SECOND
  FROM (
    SELECT x.n + 10000 * y.d AS i,
      ELT(1 + CRC32(x.n * 13 + y.d) % 16, 'Anna', 'Mateusz', 'Ines', 'Oskar', 'Marie', 'Jonas',
        'Sofia', 'Luca', 'Emma', 'Nuno', 'Freja', 'Tomas', 'Elif', 'Pavel', 'Clara', 'Hugo')
        AS given,
      ELT(1 + CRC32(x.n * 17 + y.d) % 16, 'Novak', 'Silva', 'Berg', 'Rossi', 'Dubois',
        'Kowalski', 'Janssen', 'Horvat', 'Nielsen', 'Garcia', 'Weber', 'Virtanen', 'Papadakis',
        'Murphy', 'Popescu', 'Larsen') AS family,
      ELT(1 + CRC32(x.n * 19 + y.d) % 12, 'Lisbon,PT', 'Gdansk,PL', 'Lyon,FR', 'Turin,IT',
        'Aarhus,DK', 'Graz,AT', 'Ghent,BE', 'Split,HR', 'Cork,IE', 'Turku,FI', 'Leipzig,DE',
        'Brno,CZ') AS place,
      ELT(1 + CRC32(x.n * 23 + y.d) % 3, 'example.com', 'example.org', 'mail.example.net')
        AS provider
    FROM `demo_number` x, `demo_digit` y WHERE y.d < 6) AS people;

INSERT INTO `orders`
  (`id`, `customer_id`, `product_id`, `quantity`, `amount`, `status`, `note`, `ordered_at`)
  SELECT i, 1 + CRC32(i * 29) % 60000, p.id, 1 + i % 4, p.price * (1 + i % 4),
    ELT(1 + CRC32(i * 31) % 6, 'new', 'paid', 'packed', 'shipped', 'delivered', 'returned'),
    IF(i % 9, NULL, ELT(1 + CRC32(i) % 4, 'Please leave it with the neighbour in number 12.',
      'A present: no invoice in the parcel.', 'Ring twice, the bell is quiet.',
      'As in our letter; the old order was cancelled.')),
    TIMESTAMP('2021-01-01 00:00:00') + INTERVAL i * 430 + CRC32(i) % 400 SECOND
  FROM (SELECT x.n + 10000 * (y.d + 10 * z.d) AS i FROM `demo_number` x, `demo_digit` y,
    `demo_digit` z WHERE z.d < 4) AS counted
  JOIN `products` p ON p.id = 1 + CRC32(i * 37) % 2000;

DROP TABLE `demo_number`, `demo_digit`;
ANALYZE TABLE `customers`, `products`, `orders`;
