package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Site is a place of work, as its file has it.
type Site struct {
	ID         string          `json:"id"`
	Revision   int             `json:"revision"`
	Label      string          `json:"label,omitempty"`
	Sign       *SiteSign       `json:"sign,omitempty"`
	References []SiteReference `json:"references,omitempty"`
	Raw        json.RawMessage `json:"-"` // the whole document
}

// SiteSign holds the names to read on a sign.
type SiteSign struct {
	Names []string `json:"names"`
}

// SiteReference is one enrolled picture of a site.
type SiteReference struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Photo string `json:"photo"` // sha256: and the digest
}

// UnmarshalJSON keeps the whole document, too.
func (s *Site) UnmarshalJSON(raw []byte) error {
	type plain Site
	if err := json.Unmarshal(raw, (*plain)(s)); err != nil {
		return err
	}
	s.Raw = append(json.RawMessage(nil), raw...)
	return nil
}

// Site asks for a site.
func (c *Client) Site(ctx context.Context, id string) (Site, error) {
	var out Site
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("sites", id), repeat: true, into: &out})
	return out, err
}

// Sites lists sites.
func (c *Client) Sites(ctx context.Context, cursor string, limit int) (Page[Site], error) {
	var out Page[Site]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("sites"), query: page(cursor, limit), repeat: true, into: &out})
	return out, err
}

// PutSite writes a site: its file, and the photos that the file names, by those names. rev is the revision that it replaces; 0: there is none yet.
func (c *Client) PutSite(ctx context.Context, id string, rev int, document []byte, photos []File, progress func(sent, total int64)) (Site, error) {
	f := newForm(progress)
	errs := []error{f.file("site", File{Name: "site", Bytes: document}, "application/yaml")}
	for _, p := range photos {
		errs = append(errs, f.file(p.Name, p, ""))
	}
	body, err := f.end()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Site{}, err
	}
	header := map[string]string{"If-None-Match": "*"}
	if rev > 0 {
		header = map[string]string{"If-Match": `"` + strconv.Itoa(rev) + `"`}
	}
	var out Site
	_, err = c.do(ctx, call{method: http.MethodPut, path: at("sites", id), header: header, body: body, into: &out})
	return out, err
}

// TestSite has the service try a photo on a site; the answer is that of the API. taken zero: now.
func (c *Client) TestSite(ctx context.Context, id string, photo File, taken time.Time) (json.RawMessage, error) {
	f := newForm(nil)
	errs := []error{f.file("photo", photo, "")}
	body, err := f.end()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	query := url.Values{}
	if !taken.IsZero() {
		query.Set("at", taken.Format(time.RFC3339))
	}
	var out json.RawMessage
	_, err = c.do(ctx, call{method: http.MethodPost, path: at("sites", id, "test"), query: query, body: body, repeat: true, into: &out})
	return out, err
}

// DeleteSite deletes a site.
func (c *Client) DeleteSite(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: at("sites", id)})
	return err
}
