package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results/audit"
)

// What could not be compared is said with its number, and takes up no line where there is none.
func TestAuditReportSaysWhatItCouldNotHold(t *testing.T) {
	for lang, want := range map[string]string{"en": "7 missing files could not be held against a time", "zh": "7 个缺失的文件无法核对是否已到期"} {
		var out bytes.Buffer
		e := &env{out: &out, lang: lang}
		e.auditReport(&auditTenant{&audit.Report{Tenant: "t", Untimed: 7}, 0, true})
		require.Contains(t, out.String(), want)
		out.Reset()
		e.auditReport(&auditTenant{&audit.Report{Tenant: "t"}, 0, true})
		require.NotContains(t, out.String(), want[1:])
	}
}
