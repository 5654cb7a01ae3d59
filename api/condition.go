package api

import (
	"strconv"
	"strings"

	"onsite/pipeline"
)

// Condition is part of the input of operations that change configuration.
type Condition struct {
	IfMatch     string `header:"If-Match" maxLength:"64" doc:"the ETag that you read; * for whatever it is now"`
	IfNoneMatch string `header:"If-None-Match" maxLength:"64" doc:"*: only when there is none yet"`
}

// etag is a revision as an entity tag.
func etag(rev int) string { return `"` + strconv.Itoa(rev) + `"` }

// rev gives the revision that the caller means: 0 for "must be new", -1 for "whatever it is". A change without a condition is refused,
// or two administrators would undo each other's work without knowing.
func (c Condition) rev() (int, error) {
	match, none := strings.TrimSpace(c.IfMatch), strings.TrimSpace(c.IfNoneMatch)
	switch {
	case match == "" && none == "":
		return 0, problem(codeIfMatch)
	case match != "" && none != "":
		return 0, invalid("header.If-None-Match", "repeated", nil, say("must not stand beside If-Match", "不得与 If-Match 同时使用"), pipeline.Text{})
	case none == "*":
		return 0, nil
	case none != "":
		return 0, invalid("header.If-None-Match", "choice", "*", say("must be *", "应为 *"), pipeline.Text{})
	case match == "*":
		return -1, nil
	}
	inner, ok := strings.CutPrefix(match, `"`)
	inner, ok2 := strings.CutSuffix(inner, `"`)
	n, err := strconv.Atoi(inner)
	if !ok || !ok2 || err != nil || n < 1 {
		return 0, problem(codeChanged) // no revision of ours has that tag: a weak one, a list, another server's
	}
	return n, nil
}
