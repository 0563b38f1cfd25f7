DROP INDEX packages_name;
CREATE INDEX packages_normal ON packages (REPLACE(REPLACE(REPLACE(REPLACE(LOWER(name), '_', '-'), '.', '-'), '---', '-'), '--', '-'), version);
