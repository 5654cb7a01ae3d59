package audit

import (
	"time"

	"onsite/results"
)

// ReportFor is a report as Inspect leaves it: with somebody called gone, who was erased, and with another one if also is set.
func ReportFor(tenant string, also bool, subject string) *Report {
	r := &Report{Tenant: tenant, gone: []string{"gone"}}
	if also {
		r.gone = append(r.gone, subject)
	}
	return r
}

// Since tells a report that settings were changed at some time.
func (r *Report) Since(at time.Time, target string) {
	r.terms = append(r.terms, term{at, results.KeptOf(target)})
}
