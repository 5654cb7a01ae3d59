package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onsite/pipeline"
	"onsite/pipeline/scene"
	"onsite/results"
)

// Bounds of a site's form.
const (
	siteBytes      = 256 << 10 // of the document, as package scene has it
	sitePhotos     = 64        // parts of one form
	siteFormBytes  = 400 << 20 // they are sealed as they come in, not held in memory
	storedPhotoTag = "sha256:" // in front of a photo that the site has already
)

// Site is one revision of a place of work. The fields of the document are those of a site file, so that what is read can be sent back.
type Site struct {
	ID         string              `json:"id"`
	Revision   int                 `json:"revision" doc:"also the ETag"`
	Label      string              `json:"label,omitempty"`
	Timezone   string              `json:"timezone,omitempty" doc:"of the references' days; UTC if missing"`
	Sign       *SiteSign           `json:"sign,omitempty"`
	Geofence   []pipeline.Fence    `json:"geofence,omitempty"`
	Beacons    []string            `json:"beacons,omitempty"`
	WiFi       []string            `json:"wifi,omitempty" doc:"ids (BSSID) of its Wi-Fi stations"`
	References []SiteReferenceBody `json:"references,omitempty"`
}

// SiteSign holds the names to read on a sign.
type SiteSign struct {
	Names        []string `json:"names,omitempty"`
	ForeignNames []string `json:"foreign_names,omitempty" doc:"names of other places: reading one, and nothing of this site, says that it is another place"`
}

// SiteReferenceBody is one enrolled picture of a site.
type SiteReferenceBody struct {
	Kind      pipeline.ReferenceKind `json:"kind" enum:"sign,logo,storefront,poster,desk,cabinet,room"`
	Name      string                 `json:"name"`
	Photo     string                 `json:"photo" doc:"sha256: and the digest of the stored photo; when it is sent back so, the photo stays"`
	Crop      *pipeline.Box          `json:"crop,omitempty"`
	ValidFrom string                 `json:"valid_from,omitempty"`
	ValidTo   string                 `json:"valid_to,omitempty"`
	Negative  bool                   `json:"negative,omitempty" doc:"it shows another place, such as the cafe next door"`
	Sites     []string               `json:"sites,omitempty" doc:"of a poster: the sites where it hangs; left out: this one"`
}

type putSiteInput struct {
	SitePath
	Condition
	Stream
}

type getSiteInput struct {
	SitePath
	Rev int `query:"rev" minimum:"0" doc:"an earlier revision; left out: the newest"`
}

type deleteSiteInput struct {
	SitePath
	Condition
}

type siteOutput struct {
	Status   int
	ETag     string    `header:"ETag"`
	Location string    `header:"Location"`
	Changed  time.Time `header:"Last-Modified"`
	Body     Site
}

type sitesOutput struct{ Body List[Site] }

func (s *Server) siteRoutes() {
	document := &huma.Schema{Type: "string", Description: "the site file: id, label, timezone, sign, geofence, beacons, wifi, references; JSON or YAML"}
	register(s, describe(put, "/v1/sites/{id}", "put-site", "sites", "Write a site",
		takes(map[string]*huma.MediaType{
			"multipart/form-data": {Schema: &huma.Schema{Type: "object", Required: []string{"site"}, Properties: map[string]*huma.Schema{"site": document},
				AdditionalProperties: binary("a reference photo, as a part with the name that the document has for it")}},
			"application/json": {Schema: &huma.Schema{Type: "object", Description: "the site file as JSON, without new photos"}},
			"application/yaml": {Schema: document},
		}),
		func(op *huma.Operation) { op.MaxBodyBytes = siteFormBytes },
		explained("The document has the form of a site file, as \"onsite verify --site\" reads it. As multipart/form-data it comes first, as the part \"site\"; then each photo, as a "+
			"part with the name that the document has for it. A photo that the site has already is named \"sha256:\" and its digest, as GET gives it, and need not be sent again. "+
			"The photos are looked at at once, and everything that is wrong is said; then nothing is changed. An existing site needs If-Match.")), s.putSite)
	register(s, describe(get, "/v1/sites", "list-sites", "sites", "List sites"), s.listSites)
	register(s, describe(get, "/v1/sites/{id}", "get-site", "sites", "Read a site"), func(ctx context.Context, in *getSiteInput) (*siteOutput, error) {
		site, err := s.Store.Site(ctx, PrincipalOf(ctx).Tenant, in.ID, in.Rev)
		if err != nil {
			return nil, err
		}
		return &siteOutput{Status: http.StatusOK, ETag: etag(site.Rev), Changed: site.CreatedAt, Body: showSite(site)}, nil
	})
	s.trySiteRoute()
	register(s, describe(del, "/v1/sites/{id}", "delete-site", "sites", "Delete a site", answers(http.StatusNoContent),
		explained("Its revisions remain, so that earlier verdicts can be made again; new submissions cannot name it.")), s.deleteSite)
}

// siteUpload is one PUT of a site.
type siteUpload struct {
	*Server
	id     string
	tenant string
	site   *pipeline.Site
	photo  []string                         // of each reference, as the document names it
	stored map[string]results.SiteReference // photos of the present revision, by their sha256
	came   map[string]sealed                // new photos, by their name
}

func (s *Server) putSite(ctx context.Context, in *putSiteInput) (*siteOutput, error) {
	rev, asked, err := in.put()
	if err != nil {
		return nil, err
	}
	if s.Core == nil {
		return nil, problem(codeOff).with("This server looks at no pictures: it has no models.", "该服务器没有模型，无法检查图片。")
	}
	u := &siteUpload{Server: s, id: in.ID, tenant: PrincipalOf(ctx).Tenant, stored: map[string]results.SiteReference{}, came: map[string]sealed{}}
	there, err := u.present(ctx)
	if err != nil {
		return nil, err
	}
	if there > 0 && !asked { // before anything is uploaded
		return nil, problem(codeIfMatch)
	}
	defer func() { u.undo(ctx) }() // whatever no row names in the end
	if err := u.read(ctx, &in.Stream); err != nil {
		return nil, err
	}
	row, err := u.row()
	if err != nil {
		return nil, err
	}
	if row.Doc.Rooms, err = u.check(ctx, row); err != nil {
		return nil, err
	}
	if row.Doc.Around, err = u.around(ctx, row.Doc.Rooms); err != nil {
		return nil, err
	}
	named := row.Doc.References
	row, err = s.Store.PutSite(ctx, row, rev, s.entry(ctx, "site.changed", "", u.id, ""))
	if err == nil || !unwritten(err) {
		u.spare(named) // with an error whose end is not known, too: the janitor finds out
	}
	if err != nil {
		return nil, conflict(err, asked)
	}
	s.names.forget("site\x00" + u.tenant + "\x00" + u.id)
	out := &siteOutput{Status: http.StatusOK, ETag: etag(row.Rev), Location: "/v1/sites/" + row.ID, Changed: row.CreatedAt, Body: showSite(row)}
	if there == 0 {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// present notes the photos that the site has, and gives its revision, 0 where it is not there.
func (u *siteUpload) present(ctx context.Context) (int, error) {
	now, err := u.Store.Site(ctx, u.tenant, u.id, 0)
	if errors.Is(err, results.ErrNotFound) {
		return 0, nil
	}
	for _, r := range now.Doc.References {
		u.stored[r.SHA256] = r
	}
	return now.Rev, err
}

// read takes the document and the photos.
func (u *siteUpload) read(ctx context.Context, in *Stream) error {
	if !in.isForm() {
		raw, err := in.whole(siteBytes)
		if err != nil {
			return err
		}
		return u.document(raw, "body")
	}
	defer in.done()
	f, err := in.form()
	if err != nil {
		return err
	}
	for {
		p, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			if u.site == nil {
				return invalid("form.site", "missing", nil, say("is missing", "缺失"), say("send the site file as the part named site", "请以名为 site 的部分发送地点文件"))
			}
			return nil
		case err != nil:
			return err
		case p.name == "site" && u.site == nil:
			raw, err := p.text(siteBytes)
			if err != nil {
				return err
			}
			if err := u.document(raw, "form.site"); err != nil {
				return err
			}
		case u.site == nil:
			return invalid("form.site", "order", nil, say("stands after a photo", "位于照片之后"), say("send the site file first, then the photos", "请先发送地点文件，再发送照片"))
		default:
			if err := u.take(ctx, p); err != nil {
				return err
			}
		}
	}
}

// document reads the site file.
func (u *siteUpload) document(raw []byte, place string) error {
	site, err := scene.ParseSite(u.id, raw, func(photo string) (pipeline.Media, error) {
		u.photo = append(u.photo, photo)
		return pipeline.File(photo), nil // only its name is looked at; the bytes come from the vault
	})
	if err != nil {
		return siteFault(err, place)
	}
	if site.ID != u.id {
		return problem(codeSite).field(place+".id", "path", u.id, say("is not the id in the path, %s", "与路径中的编号 %s 不一致", u.id), say("use one id in both places", "请在两处使用相同的编号"))
	}
	u.site = site
	return nil
}

// take seals one photo as it comes in.
func (u *siteUpload) take(ctx context.Context, p *part) error {
	switch _, twice := u.came[p.name]; {
	case !slices.Contains(u.photo, p.name):
		return invalid("form."+fieldName(p.name), "unknown_field", nil, say("is no photo that the site file names", "不是地点文件中列出的照片"),
			say("name parts exactly as the file names its photos", "各部分的名称须与文件中的照片名称完全一致"))
	case twice:
		return invalid("form."+fieldName(p.name), "repeated", nil, say("must be given once", "只能给出一次"), pipeline.Text{})
	case len(u.came) == sitePhotos:
		return invalid("form", "too_many", sitePhotos, say("has more than %d photos", "照片超过 %d 张", sitePhotos), pipeline.Text{})
	}
	photo, err := u.keep(ctx, u.tenant, results.SiteSubject(u.id), p.bounded(maxPhotoBytes))
	if err != nil {
		return err
	}
	u.came[p.name] = photo
	return nil
}

// row makes the row with the keys of all photos, or says which are missing. A photo that the site has already is not kept twice.
func (u *siteUpload) row() (results.Site, error) {
	doc := results.NewSiteDoc(u.site)
	p := problem(codeSite)
	for i := range doc.References {
		r, field := &doc.References[i], fmt.Sprintf("site.references[%d].photo", i)
		sum, named := strings.CutPrefix(u.photo[i], storedPhotoTag)
		new, came := u.came[u.photo[i]]
		if came {
			sum = new.sha256
		}
		old, have := u.stored[sum]
		switch {
		case have:
			r.Key, r.SHA256 = old.Key, old.SHA256
		case came:
			r.Key, r.SHA256 = new.key, new.sha256
		case named:
			p = p.field(field, "unknown", nil, say("the site has no such photo", "该地点没有此照片"), say("send the photo as a part of the form", "请在表单中发送该照片"))
		default:
			p = p.field(field, "missing", nil, say("was not sent", "未发送"), say("send it as a part with exactly this name", "请以完全相同的名称作为表单的一部分发送"))
		}
	}
	if len(p.Errors) > 0 {
		return results.Site{}, p
	}
	return results.Site{Tenant: u.tenant, ID: u.id, Doc: doc, CreatedAt: u.stamp()}, nil
}

// mostAround bounds the rooms of other sites that one is compared with: three of each of the first 40 that have some.
const (
	mostAround    = 120
	mostAroundOne = 3
)

// around gathers the rooms of the tenant's other sites: what is like many of them says little about this one. A site without rooms needs none.
func (u *siteUpload) around(ctx context.Context, rooms *pipeline.RoomVectors) (*pipeline.RoomVectors, error) {
	if rooms == nil {
		return nil, nil
	}
	out := &pipeline.RoomVectors{Model: rooms.Model}
	p := results.Page{Limit: 100}
	for {
		sites, err := u.Store.Sites(ctx, u.tenant, p)
		if err != nil {
			return nil, err
		}
		for _, s := range sites {
			if r := s.Doc.Rooms; s.ID != u.id && r != nil && r.Model == rooms.Model {
				out.Vectors = append(out.Vectors, r.Vectors[:min(len(r.Vectors), mostAroundOne)]...)
			}
			p.After = s.ID
		}
		switch {
		case len(out.Vectors) >= mostAround:
			out.Vectors = out.Vectors[:mostAround]
			return out, nil
		case len(sites) < p.Limit && len(out.Vectors) == 0:
			return nil, nil
		case len(sites) < p.Limit:
			return out, nil
		}
	}
}

// check has the core look at the photos; it gives what the rooms look like.
func (u *siteUpload) check(ctx context.Context, row results.Site) (*pipeline.RoomVectors, error) {
	select {
	case u.looking <- struct{}{}:
		defer func() { <-u.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	site, err := row.Core(func(r results.SiteReference) pipeline.Media { return vaultMedia{u.Vault, r.Key, r.Name} })
	if err != nil {
		return nil, err
	}
	rooms, err := u.Core.CheckSite(ctx, site)
	var bad *scene.SiteError
	switch {
	case errors.As(err, &bad): // whatever it is wrapped in: each reference is named
		return nil, siteFault(bad, "site")
	case err != nil:
		return nil, siteFault(coreFault(fmt.Errorf("look at the references of site %s: %w", u.id, err)), "site")
	}
	return rooms, nil
}

// spare takes what references name off what undo deletes.
func (u *siteUpload) spare(named []results.SiteReference) {
	for name, photo := range u.came {
		if slices.ContainsFunc(named, func(r results.SiteReference) bool { return r.Key == photo.key }) {
			delete(u.came, name)
		}
	}
}

// undo deletes photos that were sealed for nothing.
func (u *siteUpload) undo(ctx context.Context) {
	var keys []string
	for _, photo := range u.came {
		keys = append(keys, photo.key)
	}
	clear(u.came)
	if len(keys) > 0 {
		u.discard(ctx, keys...)
	}
}

// siteFault names every place of a site that is wrong.
func siteFault(err error, place string) error {
	var bad *scene.SiteError
	if !errors.As(err, &bad) {
		return err
	}
	p := problem(codeSite)
	for _, one := range bad.Problems {
		field := place
		if one.Field != "" {
			field += "." + one.Field
		}
		text := one.Text
		if one.Value != "" {
			text = pipeline.Text{EN: strconv.Quote(one.Value) + " " + text.EN, ZH: "“" + one.Value + "”" + text.ZH}
		}
		p = p.field(field, string(one.Trouble), nil, text, pipeline.Text{})
	}
	return p
}

// vaultMedia is a sealed photo as the core takes it.
type vaultMedia struct {
	vault Vault
	key   string
	name  string
}

func (m vaultMedia) Name() string                               { return m.name }
func (m vaultMedia) Open(ctx context.Context) (*os.File, error) { return m.vault.Open(ctx, m.key) }

func (s *Server) listSites(ctx context.Context, in *PageInput) (*sitesOutput, error) {
	p, err := s.page(ctx, "sites", nil, *in)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Sites(ctx, PrincipalOf(ctx).Tenant, p)
	if err != nil {
		return nil, err
	}
	return &sitesOutput{Body: list(s, ctx, "sites", nil, p, rows, func(r results.Site) string { return r.ID }, showSite)}, nil
}

func (s *Server) deleteSite(ctx context.Context, in *deleteSiteInput) (*nothing, error) {
	tenant := PrincipalOf(ctx).Tenant
	row, err := s.Store.Site(ctx, tenant, in.ID, 0)
	if err != nil {
		return nil, err
	}
	rev, err := in.removal(row.Rev)
	if err != nil {
		return nil, err
	}
	row.Deleted, row.CreatedAt = true, s.stamp()
	if _, err := s.Store.PutSite(ctx, row, rev, s.entry(ctx, "site.deleted", "", in.ID, "")); err != nil {
		return nil, fmt.Errorf("delete site %s: %w", in.ID, err)
	}
	s.names.forget("site\x00" + tenant + "\x00" + in.ID)
	return &nothing{}, nil
}

func showSite(site results.Site) Site {
	d := site.Doc
	out := Site{ID: site.ID, Revision: site.Rev, Label: d.Label, Timezone: d.Timezone, Geofence: d.Geofence, Beacons: d.Beacons, WiFi: d.WiFi}
	if len(d.SignNames)+len(d.ForeignNames) > 0 {
		out.Sign = &SiteSign{Names: d.SignNames, ForeignNames: d.ForeignNames}
	}
	for _, r := range d.References {
		out.References = append(out.References, SiteReferenceBody{Kind: r.Kind, Name: r.Name, Photo: storedPhotoTag + r.SHA256, Crop: r.Crop, ValidFrom: r.ValidFrom, ValidTo: r.ValidTo, Negative: r.Negative, Sites: r.Sites})
	}
	return out
}
