package notice_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers/intake/notice"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

// What real services wrote.
func TestReadServices(t *testing.T) {
	for _, name := range []string{"minio-webhook.json", "minio-redis.json"} {
		events := notice.Read(sample(t, name))
		require.Len(t, events, 1, name)
		e := events[0]
		require.Empty(t, e.State, "%s: for the store to judge: %s", name, e.Why)
		require.Equal(t, "onsite-uploads", e.Bucket)
		require.Equal(t, "acme/up load/ü+%26 &.mp4", e.Key)
		require.Equal(t, "aca009176da72afde73994acb10b3b79", e.ETag)
		require.Equal(t, "18EA3D93B325CB9B", e.Sequencer)
		require.EqualValues(t, 6, e.Bytes)
		require.Equal(t, time.Date(2026, 11, 22, 2, 38, 26, 38e6, time.UTC), e.HappenedAt)
	}
	events := notice.Read(sample(t, "aws.json"))
	require.Len(t, events, 3)
	require.Equal(t, "HappyFace.jpg", events[0].Key)
	require.Equal(t, "096fKKXTRTtl3on89fVO.nfljtsv6qko", events[0].Version)
	require.Zero(t, events[0].HappenedAt, "1970 is no time")
	require.Equal(t, "a b/c d.mp4", events[1].Key)
	require.Equal(t, "x-1", events[1].ETag)
	require.Equal(t, results.IntakeIgnored, events[2].State)
	require.Contains(t, events[2].Why.Say(), "ObjectRemoved:Delete")
	require.Contains(t, string(events[2].Raw), "gone.mp4")
}

// one is a record with parts of it replaced.
func one(name, bucket, object string) string {
	return fmt.Sprintf(`{"eventName":%q,"s3":{"bucket":{"name":%q},"object":%s}}`, name, bucket, object)
}

func TestRead(t *testing.T) {
	const put = "s3:ObjectCreated:Put"
	good := one(put, "b", `{"key":"k"}`)
	for _, c := range []struct {
		name, raw string
		want      []results.IntakeState
		why       string
	}{
		{"a lone record", good, []results.IntakeState{""}, ""},
		{"a list of records", "[" + good + "," + good + "]", []results.IntakeState{"", ""}, ""},
		{"two envelopes", `[{"Records":[` + good + `]},{"Event":[` + good + `,` + good + `]}]`, []results.IntakeState{"", "", ""}, ""},
		{"one of two is broken", `{"Records":[` + good + `,{"eventName":1}]}`, []results.IntakeState{"", results.IntakeUnread}, "S3's form"},
		{"a test message", `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b"}`, []results.IntakeState{results.IntakeIgnored}, "no records"},
		{"no records", `{"Records":[]}`, []results.IntakeState{results.IntakeIgnored}, "no records"},
		{"no events", `[]`, []results.IntakeState{results.IntakeIgnored}, "no records"},
		{"nothing", "", []results.IntakeState{results.IntakeUnread}, "empty"},
		{"white space", " \n", []results.IntakeState{results.IntakeUnread}, "empty"},
		{"no JSON", "hello", []results.IntakeState{results.IntakeUnread}, "not JSON"},
		{"cut off", good[:len(good)-3], []results.IntakeState{results.IntakeUnread}, "not JSON"},
		{"cut off list", "[" + good, []results.IntakeState{results.IntakeUnread}, "not JSON"},
		{"null", "null", []results.IntakeState{results.IntakeUnread}, "neither"},
		{"a number", "1", []results.IntakeState{results.IntakeUnread}, "known form"},
		{"a list of numbers", "[1]", []results.IntakeState{results.IntakeUnread}, "known form"},
		{"another message", `{"Type":"Notification","Message":"..."}`, []results.IntakeState{results.IntakeUnread}, "neither"},
		{"a record of null", `{"Records":[null]}`, []results.IntakeState{results.IntakeUnread}, "no event"},
		{"no object", `{"Records":[{"eventName":"s3:ObjectCreated:Put"}]}`, []results.IntakeState{results.IntakeUnread}, "no object"},
		{"no name", one("", "b", `{"key":"k"}`), []results.IntakeState{results.IntakeUnread}, "no event"},
		{"no key", one(put, "b", `{}`), []results.IntakeState{results.IntakeUnread}, "key is missing"},
		{"no bucket", one(put, "", `{"key":"k"}`), []results.IntakeState{results.IntakeUnread}, "bucket is missing"},
		{"a bad escape", one(put, "b", `{"key":"%zz"}`), []results.IntakeState{results.IntakeUnread}, "not URL-encoded"},
		{"a NUL", one(put, "b", `{"key":"a%00b"}`), []results.IntakeState{results.IntakeUnread}, "no text"},
		{"no UTF-8", one(put, "b", `{"key":"%ff"}`), []results.IntakeState{results.IntakeUnread}, "no text"},
		{"a long key", one(put, "b", `{"key":"`+strings.Repeat("k", 1025)+`"}`), []results.IntakeState{results.IntakeUnread}, "1025 bytes"},
		{"a long bucket", one(put, strings.Repeat("b", 300), `{"key":"k"}`), []results.IntakeState{results.IntakeUnread}, "300 bytes"},
		{"a long version", one(put, "b", `{"key":"k","versionId":"`+strings.Repeat("v", 2000)+`"}`), []results.IntakeState{results.IntakeUnread}, "2000 bytes"},
		{"a size below nothing", one(put, "b", `{"key":"k","size":-1}`), []results.IntakeState{results.IntakeUnread}, "size"},
		{"a broken size", one(put, "b", `{"key":"k","size":1.5}`), []results.IntakeState{results.IntakeUnread}, "size"},
		{"a size of words", one(put, "b", `{"key":"k","size":"many"}`), []results.IntakeState{results.IntakeUnread}, "S3's form"},
		{"a lock", one("s3:ObjectCreated:PutRetention", "b", `{"key":"k"}`), []results.IntakeState{results.IntakeIgnored}, "PutRetention"},
		{"a look", one("s3:ObjectAccessed:Get", "b", `{"key":"k"}`), []results.IntakeState{results.IntakeIgnored}, "ObjectAccessed"},
		{"a name that is none", one("Created", "b", `{"key":"k"}`), []results.IntakeState{results.IntakeIgnored}, "Created"},
		{"too long", `{"Records":["` + strings.Repeat("x", 8<<20) + `"]}`, []results.IntakeState{results.IntakeUnread}, "more than 8388608 bytes"},
		{"too many", `{"Records":[` + strings.Repeat("0,", 1000) + `0]}`, []results.IntakeState{results.IntakeUnread}, "more than 1000 records"},
		{"too deep", strings.Repeat("[", 20000), []results.IntakeState{results.IntakeUnread}, "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			events := notice.Read([]byte(c.raw))
			states := []results.IntakeState{}
			why := ""
			for _, e := range events {
				states = append(states, e.State)
				why += e.Why.Say()
				require.LessOrEqual(t, len(e.Raw), 64<<10)
				require.Contains(t, c.raw, string(e.Raw))
			}
			require.Equal(t, c.want, states, why)
			require.Contains(t, why, c.why)
		})
	}
}

// fit says whether a reason can be stored and shown, in both languages.
func fit(w *results.Why) bool {
	if w == nil {
		return true
	}
	for _, s := range []string{w.Text.EN, w.Text.ZH} {
		if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > 400 {
			return false
		}
	}
	return strings.ContainsFunc(w.Text.ZH, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"minio-webhook.json", "minio-redis.json", "aws.json"} {
		f.Add(sample(f, name))
	}
	f.Add([]byte(`[{"Event":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"%00+%ff","size":1e3}}}]}]`))
	f.Add([]byte(`{"Event":"s3:TestEvent"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		events := notice.Read(raw)
		if !bytes.Equal(before, raw) {
			t.Fatal("the notification was changed")
		}
		if len(events) == 0 {
			t.Fatal("a notification was dropped")
		}
		for _, e := range events {
			if len(e.Raw) > 64<<10 || !fit(e.Why) {
				t.Fatalf("cannot be kept: %+v", e.Why)
			}
			for _, s := range []string{e.Bucket, e.Key, e.Version, e.Sequencer, e.ETag} {
				if !utf8.ValidString(s) || strings.ContainsRune(s, 0) || len(s) > 1024 {
					t.Fatalf("cannot be stored: %q", s)
				}
			}
			switch e.State {
			case "":
				if e.Bucket == "" || e.Key == "" || e.Bytes < 0 {
					t.Fatalf("%+v", e)
				}
			case results.IntakeUnread, results.IntakeIgnored:
				if e.Why == nil || e.Why.Rule == "" {
					t.Fatal("without a reason")
				}
			default:
				t.Fatal(e.State)
			}
		}
	})
}
