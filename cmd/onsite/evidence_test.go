package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results/evidence"
)

// What is wrong with the package is said of the package, as "verify" does, and what is wrong with the authority's answer of that.
func TestStampNamesWhatIsAtFault(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	good := filepath.Join("testdata", "golden", "genuine.zip")
	raw, err := os.ReadFile(good)
	require.NoError(t, err)
	at := bytes.Index(raw, []byte("report-en.html"))
	require.Positive(t, at)
	changed := bytes.Clone(raw)
	changed[at+500] ^= 1
	damaged, junk, large := write("damaged.zip", changed), write("junk.tsr", []byte("junk")), write("large.tsr", make([]byte, evidence.MaxStamp+100))
	for name, c := range map[string]struct {
		file, token string
		code        int
		en, zh      string
	}{
		"a damaged package": {damaged, junk, exitChanged, "do not agree", "不一致"},
		"no package":        {junk, junk, exitUsage, junk + ": not an evidence package: it cannot be read as a zip file", junk + "：不是证据包：无法作为 zip 文件读取"},
		"no answer":         {good, junk, exitUsage, junk + ": the timestamp token cannot be put in: it cannot be read", junk + "：无法加入该时间戳令牌：无法作为"},
		"a large file":      {good, large, exitUsage, large + ": the timestamp token cannot be put in: it has over 16 KiB", large + "：无法加入该时间戳令牌：超过 16 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			for lang, want := range map[string]string{"en": c.en, "zh": c.zh} {
				code, _, errOut := onsite(t, "--lang", lang, "evidence", "stamp", c.file, c.token, "-o", filepath.Join(dir, "out.zip"))
				require.Equal(t, c.code, code, errOut)
				require.Contains(t, errOut, want)
				require.NoFileExists(t, filepath.Join(dir, "out.zip"))
			}
		})
	}
}

// A time that nobody vouches for is not shown as stamped.
func TestUncheckedTimestampIsSaid(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for lang, want := range map[string]string{"en": "its signature was NOT checked", "zh": "其签名未经核验"} {
		var out bytes.Buffer
		e := &env{out: &out, lang: lang}
		e.stamped(evidence.Stamp{At: at, Unchecked: &pipeline.Text{EN: "why", ZH: "原因"}})
		require.Contains(t, out.String(), want)
		require.Contains(t, out.String(), "openssl ts -verify")
		out.Reset()
		e.stamped(evidence.Stamp{At: at, By: "CN=A", SignatureChecked: true})
		require.NotContains(t, out.String(), want)
		require.Contains(t, out.String(), "CN=A")
	}
}
