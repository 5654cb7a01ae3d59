package main

import (
	"time"

	"onsite/api/client"
)

// verdictFilter narrows lists of verdicts.
type verdictFilter struct {
	Subject  string    `help:"Only those of this employee." placeholder:"ID"`
	Site     string    `help:"Only those of this place of work." placeholder:"ID"`
	Decision string    `help:"Only these: pass, abnormal or review." enum:",pass,abnormal,review" default:"" placeholder:"DECISION"`
	Reason   string    `help:"Only those with this reason." placeholder:"CODE"`
	Model    string    `help:"Only those that were made with this model: the sha256 of its file, or the first 8 digits of it or more." placeholder:"SHA256"`
	From     time.Time `help:"Submitted at or after (RFC 3339)." placeholder:"TIME"`
	To       time.Time `help:"Submitted before (RFC 3339)." placeholder:"TIME"`
}

func (f verdictFilter) any() bool { return f != verdictFilter{} }

func (f verdictFilter) client() client.VerdictFilter { return client.VerdictFilter(f) }
