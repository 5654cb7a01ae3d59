-- +goose Up

-- API keys that were made at the command line, and marks that went with their jobs or subjects, had no entries. Without these here whoever
-- inspects the log would take them for added, and for removed. Of entries without a digest nothing can be compared.
INSERT INTO audit (tenant, id, at, actor, action, subject, target, digest)
SELECT k.tenant, '00000000000001' || CAST(100000000000 + row_number() OVER (ORDER BY k.id) AS TEXT), k.created_at, 'system', 'key.created', '', k.id, ''
FROM api_keys k WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.tenant = k.tenant AND a.target = k.id);

INSERT INTO audit (tenant, id, at, actor, action, subject, target, digest)
SELECT g.tenant, '00000000000002' || CAST(100000000000 + row_number() OVER (ORDER BY g.target) AS TEXT), g.at, 'system', 'mark.removed', '', g.target, ''
FROM (SELECT a.tenant, a.target, max(a.at) AS at FROM audit a WHERE a.action = 'mark.created'
    AND NOT EXISTS (SELECT 1 FROM marks m WHERE m.tenant = a.tenant AND m.id = a.target)
    AND NOT EXISTS (SELECT 1 FROM audit b WHERE b.tenant = a.tenant AND b.target = a.target AND b.action = 'mark.removed')
    GROUP BY a.tenant, a.target) g;

-- +goose Down

SELECT 1; -- a log only grows
