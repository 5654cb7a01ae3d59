package chaos

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// tinyClip is four seconds of a test picture, 320 x 240, H.264 in mp4: our own rendering (ffmpeg testsrc2).
//
//go:embed media/tiny.mp4
var tinyClip []byte

// upload is one submission of the load and what the API said to it.
type upload struct {
	n      int
	key    string // idempotency key
	media  []byte
	broken bool   // the media is no media: it must be refused
	job    string // of the 202; "" until then
	twice  bool   // is sent again after its 202: must give the same job
	claim  []byte
	tries  int
}

// uploads makes n submissions. One in twenty is no media, one in twenty is cut off, one in ten is sent again.
func uploads(n int) []*upload {
	out := make([]*upload, n)
	for i := range out {
		u := &upload{n: i, key: ulid.Make().String(), twice: i%10 == 3}
		switch i % 20 {
		case 7:
			u.media, u.broken = append([]byte("this is no clip "), noise(500)...), true
		case 11:
			u.media, u.broken = tinyClip[:len(tinyClip)/3], true
		default:
			u.media = distinct(tinyClip)
		}
		out[i] = u
	}
	return out
}

// distinct gives the same footage in a file with other bytes: an mp4 box "free" with noise after the end.
func distinct(clip []byte) []byte {
	const size = 8 + 16
	box := binary.BigEndian.AppendUint32(nil, size)
	box = append(box, "free"...)
	return append(append(append([]byte{}, clip...), box...), noise(16)...)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// submitAll sends every upload, a few at a time, spread over the given time, each until it is accepted: as a careful client does, with the
// same idempotency key for every try. It returns when all are accepted or ctx ends.
func (s *stand) submitAll(ctx context.Context, list []*upload, over time.Duration) {
	work := make(chan *upload)
	var wait sync.WaitGroup
	for range s.opts.Clients {
		wait.Go(func() {
			for u := range work {
				s.insist(ctx, u)
			}
		})
	}
	pace := time.NewTicker(max(time.Microsecond, over/time.Duration(max(1, len(list)))))
	defer pace.Stop()
	for _, u := range list {
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
		select {
		case <-ctx.Done():
		case work <- u:
			continue
		}
		break
	}
	close(work)
	wait.Wait()
}

// insist sends one upload until it is accepted.
func (s *stand) insist(ctx context.Context, u *upload) {
	for ctx.Err() == nil {
		job, again := s.send(ctx, u)
		u.tries++
		if job != "" {
			if u.job != "" && u.job != job {
				s.mu.Lock()
				s.doubled++ // one key, two jobs
				s.mu.Unlock()
			}
			u.job = job
			if !u.twice {
				return
			}
			u.twice = false
			continue
		}
		_ = pause(ctx, again)
	}
}

// send tries once. It gives the job, or how long to wait before the next try.
func (s *stand) send(ctx context.Context, u *upload) (job string, again time.Duration) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	claim, _ := json.Marshal(map[string]any{"subject": subject(u.n), "site": site, "taken_at": time.Now().UTC().Format(time.RFC3339)})
	if u.tries == 0 {
		u.claim = claim // the same body for every try
	}
	_ = form.WriteField("claim", string(u.claim))
	part, err := form.CreateFormFile("media", "clip.mp4")
	if err != nil {
		return "", time.Second
	}
	_, _ = part.Write(u.media)
	_ = form.Close()
	base := s.bases[(u.n+u.tries)%len(s.bases)]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/submissions", &body)
	if err != nil {
		return "", time.Second
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Idempotency-Key", u.key)
	resp, err := s.client.Do(req)
	if err != nil {
		return "", 200 * time.Millisecond
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode != http.StatusAccepted || err != nil {
		s.mu.Lock()
		s.answers[resp.StatusCode]++
		s.mu.Unlock()
		return "", 300 * time.Millisecond
	}
	var accepted struct {
		Job string `json:"job"`
	}
	if err := json.Unmarshal(raw, &accepted); err != nil || accepted.Job == "" {
		s.opts.Logger.Info("an answer without a job", "body", fmt.Sprintf("%.200s", raw))
		return "", time.Second
	}
	return accepted.Job, 0
}
