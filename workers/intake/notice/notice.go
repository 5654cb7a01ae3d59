// Package notice reads what the services of buckets say when an object was written. It trusts nothing of it and drops nothing: what cannot
// be understood comes back with its reason. It may import the words of package results, so that it stays small enough to be fuzzed.
package notice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"onsite/results"
)

// Bounds of a notification. Amazon's are a few KiB; MinIO adds an object's metadata, of which S3 takes 2 KiB.
const (
	maxRawBytes  = 1 << 20
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
		return []results.IntakeEvent{unread(raw, "it has %d bytes, more than %d", len(raw), maxRawBytes)}
	}
	records, err := unpack(raw)
	switch {
	case err != nil:
		return []results.IntakeEvent{unread(raw, "%v", err)}
	case len(records) == 0:
		return []results.IntakeEvent{ignored(raw, "it holds no records")}
	case len(records) > maxRecords:
		return []results.IntakeEvent{unread(raw, "it holds %d records, more than %d", len(records), maxRecords)}
	}
	events := make([]results.IntakeEvent, 0, len(records))
	for _, r := range records {
		events = append(events, read(r))
	}
	return events
}

func unread(raw []byte, why string, args ...any) results.IntakeEvent {
	return results.IntakeEvent{State: results.IntakeUnread, Why: Clean(fmt.Sprintf(why, args...)), Raw: kept(raw)}
}

func ignored(raw []byte, why string) results.IntakeEvent {
	return results.IntakeEvent{State: results.IntakeIgnored, Why: Clean(why), Raw: kept(raw)}
}

func kept(raw []byte) []byte { return bytes.Clone(raw[:min(len(raw), maxKeptBytes)]) }

// Clean makes a reason that quotes an event fit for a column and a screen.
func Clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
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
func unpack(raw []byte) ([]json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, fmt.Errorf("it is empty")
	}
	if raw[0] != '[' {
		return open(raw)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	var all []json.RawMessage
	for _, one := range list {
		records, err := open(one)
		if err != nil {
			return nil, err
		}
		if all = append(all, records...); len(all) > maxRecords {
			break // refused as a whole
		}
	}
	return all, nil
}

func open(raw json.RawMessage) ([]json.RawMessage, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("it is not JSON of a known form: %w", err)
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
	return nil, fmt.Errorf("it has neither Records nor an Event")
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
		return unread(raw, "a record is not of S3's form: %v", err)
	}
	if r.S3 == nil || r.EventName == "" {
		return unread(raw, "a record names no event or no object")
	}
	o := r.S3.Object
	key, err := url.QueryUnescape(o.Key)
	if err != nil {
		return unread(raw, "its key is not URL-encoded: %v", err)
	}
	e := results.IntakeEvent{Raw: kept(raw), Bucket: r.S3.Bucket.Name, Key: key, Version: o.VersionID, Sequencer: o.Sequencer,
		ETag: strings.Trim(o.ETag, `"`)}
	if err := sound(e); err != nil {
		return unread(raw, "%v", err)
	}
	if o.Size != "" {
		size, err := o.Size.Int64()
		if err != nil || size < 0 || size > math.MaxInt64/2 {
			return unread(raw, "its size %q is none", o.Size)
		}
		e.Bytes = size
	}
	if at, err := time.Parse(time.RFC3339Nano, r.EventTime); err == nil && at.Year() > 2000 && at.Year() < 3000 {
		e.HappenedAt = at.UTC()
	}
	if !creates(r.EventName) {
		e.State, e.Why = results.IntakeIgnored, Clean("it tells of "+r.EventName+", not of an object that was written")
	}
	return e
}

// sound refuses names that no bucket has, and that a database may not take.
func sound(e results.IntakeEvent) error {
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
			return fmt.Errorf("its %s is missing", f.what)
		case len(f.value) > f.most:
			return fmt.Errorf("its %s has %d bytes, more than %d", f.what, len(f.value), f.most)
		case !utf8.ValidString(f.value) || strings.ContainsRune(f.value, 0):
			return fmt.Errorf("its %s is no text", f.what)
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
