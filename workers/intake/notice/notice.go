// Package notice reads what the services of buckets say when an object was written. It trusts nothing of it and drops nothing: what cannot
// be understood comes back with its reason. It may import the words of package results, so that it stays small enough to be fuzzed.
package notice

import (
	"bytes"
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"onsite/results"
)

// Bounds of a notification. Amazon's are a few KiB; MinIO adds an object's metadata, of which S3 takes 2 KiB.
const (
	maxRawBytes  = 8 << 20  // api.Limits.EventBytes is the same
	maxKeptBytes = 64 << 10 // of an event that is kept although nothing can be made of it
	maxRecords   = 1000
	maxName      = 255  // bucket
	maxKey       = 1024 // S3's own bound, in bytes of UTF-8
	maxWord      = 1024 // version, sequencer, ETag
)

// Read takes a notification apart. It knows the body that S3 and MinIO send (Records), the entries of the Redis list that MinIO writes in
// its access format, and lone records. It never fails: what cannot be understood comes back as an event with its reason.
func Read(raw []byte) []results.IntakeEvent {
	if len(raw) > maxRawBytes {
		return []results.IntakeEvent{unread(raw, results.Because("event_too_large", "it has more than %d bytes; the first %d of them are kept", "超过 %d 字节；仅保留前 %d 字节", maxRawBytes, maxKeptBytes))}
	}
	records, why := unpack(raw)
	switch {
	case why != nil:
		return []results.IntakeEvent{unread(raw, why)}
	case len(records) == 0:
		return []results.IntakeEvent{ignored(raw, results.Because("event_empty", "it holds no records", "其中没有记录"))}
	case len(records) > maxRecords:
		return []results.IntakeEvent{unread(raw, results.Because("event_too_many", "it holds more than %d records", "其中的记录超过 %d 条", maxRecords))}
	}
	events := make([]results.IntakeEvent, 0, len(records))
	for _, r := range records {
		events = append(events, read(r))
	}
	return events
}

func unread(raw []byte, why *results.Why) results.IntakeEvent {
	return results.IntakeEvent{State: results.IntakeUnread, Why: why, Raw: kept(raw)}
}

func ignored(raw []byte, why *results.Why) results.IntakeEvent {
	return results.IntakeEvent{State: results.IntakeIgnored, Why: why, Raw: kept(raw)}
}

func kept(raw []byte) []byte { return bytes.Clone(raw[:min(len(raw), maxKeptBytes)]) }

// Clean makes what a reason quotes of an event or of an error fit for a column and a screen.
func Clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "")
	}
	return s
}

// envelope is what records come in. Event is a list in MinIO's access format, and a word in the test message that S3 sends once.
type envelope struct {
	Records []json.RawMessage `json:"Records"`
	Event   json.RawMessage   `json:"Event"`
	S3      json.RawMessage   `json:"s3"`
}

// unpack finds the records of a notification.
func unpack(raw []byte) ([]json.RawMessage, *results.Why) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, results.Because("event_empty", "it is empty", "内容为空")
	}
	if raw[0] != '[' {
		return open(raw)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, notJSON(err)
	}
	var all []json.RawMessage
	for _, one := range list {
		records, why := open(one)
		if why != nil {
			return nil, why
		}
		if all = append(all, records...); len(all) > maxRecords {
			break // refused as a whole
		}
	}
	return all, nil
}

func notJSON(err error) *results.Why {
	return results.Because("event_not_json", "it is not JSON: %s", "不是 JSON：%s", Clean(err.Error()))
}

func unknownForm(en, zh string) *results.Why { return results.Because("event_form", en, zh) }

func open(raw json.RawMessage) ([]json.RawMessage, *results.Why) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, results.Because("event_not_json", "it is not JSON of a known form: %s", "不是已知形式的 JSON：%s", Clean(err.Error()))
	}
	if len(e.Records) > 0 {
		return e.Records, nil
	}
	if e.S3 != nil {
		return []json.RawMessage{raw}, nil
	}
	if e.Records != nil || strings.HasSuffix(string(e.Event), `:TestEvent"`) {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(e.Event, &list) == nil {
		return list, nil
	}
	return nil, unknownForm("it has neither Records nor an Event", "既没有 Records 也没有 Event")
}

// record is one event in S3's form. Numbers come as such from S3 and MinIO; other fields are nobody's business.
type record struct {
	EventName string    `json:"eventName"`
	EventTime string    `json:"eventTime"`
	S3        *metadata `json:"s3"`
}

type metadata struct {
	Bucket struct {
		Name string `json:"name"`
	} `json:"bucket"`
	Object struct {
		Key       string      `json:"key"` // URL-encoded, with + for a space
		Size      json.Number `json:"size"`
		ETag      string      `json:"eTag"`
		VersionID string      `json:"versionId"`
		Sequencer string      `json:"sequencer"`
	} `json:"object"`
}

// read makes an event of one record: without a state when it is for the store to judge.
func read(raw json.RawMessage) results.IntakeEvent {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return unread(raw, results.Because("event_form", "a record is not of S3's form: %s", "记录不是 S3 的形式：%s", Clean(err.Error())))
	}
	if r.S3 == nil || r.EventName == "" {
		return unread(raw, unknownForm("a record names no event or no object", "记录没有事件名或对象"))
	}
	o := r.S3.Object
	key, err := url.QueryUnescape(o.Key)
	if err != nil {
		return unread(raw, results.Because("event_field", "its key is not URL-encoded: %s", "对象键不是 URL 编码：%s", Clean(err.Error())))
	}
	e := results.IntakeEvent{Raw: kept(raw), Bucket: r.S3.Bucket.Name, Key: key, Version: o.VersionID, Sequencer: o.Sequencer,
		ETag: strings.Trim(o.ETag, `"`)}
	if why := sound(e); why != nil {
		return unread(raw, why)
	}
	if o.Size != "" {
		size, err := o.Size.Int64()
		if err != nil || size < 0 || size > math.MaxInt64/2 {
			return unread(raw, results.Because("event_field", "its size is not a number of bytes: %s", "大小不是字节数：%s", Clean(o.Size.String())))
		}
		e.Bytes = size
	}
	if at, err := time.Parse(time.RFC3339Nano, r.EventTime); err == nil && at.Year() > 2000 && at.Year() < 3000 {
		e.HappenedAt = at.UTC()
	}
	if !creates(r.EventName) {
		e.State = results.IntakeIgnored
		e.Why = results.Because("event_other", "it tells of %s, not of an object that was written", "它通知的是 %s，而不是对象写入", Clean(r.EventName))
	}
	return e
}

// sound refuses names that no bucket has, and that a database may not take.
func sound(e results.IntakeEvent) *results.Why {
	for _, f := range []struct {
		what, value string
		most        int
		need        bool
	}{
		{"bucket", e.Bucket, maxName, true},
		{"key", e.Key, maxKey, true},
		{"version", e.Version, maxWord, false},
		{"sequencer", e.Sequencer, maxWord, false},
		{"ETag", e.ETag, maxWord, false},
	} {
		switch {
		case f.need && f.value == "":
			return results.Because("event_field", "its %s is missing", "缺少 %s", f.what)
		case len(f.value) > f.most:
			return results.Because("event_field", "its %s has %d bytes, more than %d", "%s 有 %d 字节，超过 %d", f.what, len(f.value), f.most)
		case !utf8.ValidString(f.value) || strings.ContainsRune(f.value, 0):
			return results.Because("event_field", "its %s is no text", "%s 不是文本", f.what)
		}
	}
	return nil
}

// creates says whether an event tells that an object's bytes were written. MinIO also files changes of locks and tags under ObjectCreated.
func creates(name string) bool {
	how, ok := strings.CutPrefix(strings.TrimPrefix(name, "s3:"), "ObjectCreated:")
	switch how {
	case "PutRetention", "PutLegalHold", "PutTagging", "DeleteTagging":
		return false
	}
	return ok
}
