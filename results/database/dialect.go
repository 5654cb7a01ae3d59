package database

import (
	"encoding/json"
	"regexp"
	"sync"
	"time"
)

// What SQLite says otherwise. Everything else is written so that both understand it.
var (
	anyOf    = regexp.MustCompile(`(<> ALL|= ANY)\s*\(\$(\d+)(::\w+\[\])?\)`)
	unnest   = regexp.MustCompile(`unnest\(\$(\d+)::\w+\[\]\) AS (\w+)\((\w+)\)`)
	cast     = regexp.MustCompile(`::\w+(\[\])?`)
	dollar   = regexp.MustCompile(`\$(\d+)`)
	forWhat  = regexp.MustCompile(`\sFOR (NO KEY UPDATE|UPDATE|SHARE|KEY SHARE)( OF \w+)?( SKIP LOCKED| NOWAIT)?`)
	forWords = map[string]string{"= ANY": "IN", "<> ALL": "NOT IN"}
)

// liteSQL keeps the translations: there are as many as there are statements in this package.
var liteSQL sync.Map

// forLite translates a statement for SQLite:
//
//	$1                        -> ?1
//	= ANY($1), <> ALL($1)     -> IN / NOT IN (SELECT value FROM json_each(?1)); the argument is a []string or []int64
//	unnest($1::text[]) AS k(v)  -> (SELECT value AS v FROM json_each(?1)) AS k
//	$1::bigint                -> ?1
//	FOR UPDATE SKIP LOCKED    -> nothing: there is one writer
func forLite(sql string) string {
	if t, ok := liteSQL.Load(sql); ok {
		return t.(string)
	}
	t := anyOf.ReplaceAllStringFunc(sql, func(m string) string {
		p := anyOf.FindStringSubmatch(m)
		return forWords[p[1]] + " (SELECT value FROM json_each($" + p[2] + "))"
	})
	t = unnest.ReplaceAllString(t, "(SELECT value AS $3 FROM json_each($$$1)) AS $2")
	t = cast.ReplaceAllString(t, "")
	t = forWhat.ReplaceAllString(t, "")
	t = dollar.ReplaceAllString(t, "?$1")
	liteSQL.Store(sql, t)
	return t
}

// bind turns arguments into what both drivers store: times into milliseconds, JSON into text. Lists become JSON for SQLite.
func bind(args []any, lite bool) ([]any, error) {
	out := args
	for i, a := range args {
		var v any
		switch a := a.(type) {
		case time.Time:
			v = millis(a)
		case json.RawMessage:
			v = string(a)
		case asJSON:
			text, err := json.Marshal(a.value)
			if err != nil {
				return nil, err
			}
			v = string(text)
		case []string: // nil as an empty list: NULL would make "<> ALL" false
			v = append(make([]string, 0, len(a)), a...)
		case []int64:
			v = append(make([]int64, 0, len(a)), a...)
		default:
			continue
		}
		switch v.(type) {
		case []string, []int64:
			if lite {
				text, err := json.Marshal(v)
				if err != nil {
					return nil, err
				}
				v = string(text)
			}
		}
		if &out[0] == &args[0] {
			out = append([]any(nil), args...)
		}
		out[i] = v
	}
	return out, nil
}
