package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"onsite/pipeline"
)

// groundFlags say where an upload was made.
type groundFlags struct {
	At     string   `help:"Where it is said to be taken: degrees (WGS 84), and the accuracy in metres if it is known." placeholder:"LAT,LON[,METRES]"`
	Beacon []string `help:"Id of a beacon that is said to be in range; may be given several times." placeholder:"ID" sep:"none"`
	WiFi   []string `name:"wifi" help:"Id (BSSID) of a Wi-Fi station that is said to be in range; may be given several times." placeholder:"ID" sep:"none"`
	Device string   `help:"Id of the device that is said to have made it." placeholder:"ID"`
	Mock   bool     `help:"The device says that an app sets its position."`
}

// claimed gives the claimed position, nil without one, and the device, nil if nothing is said of it.
func (g groundFlags) claimed() (*pipeline.Location, *pipeline.Device, error) {
	var l *pipeline.Location
	var d *pipeline.Device
	if g.At != "" {
		at, err := parseLocation(g.At)
		if err != nil {
			return nil, nil, err
		}
		l = &at
	}
	if g.Device != "" || g.Mock {
		d = &pipeline.Device{ID: g.Device, MockLocation: g.Mock}
	}
	return l, d, nil
}

// claim makes what the flags say about the upload.
func (c *verifyCmd) claim() (pipeline.Claim, error) {
	at, device, err := c.claimed()
	return pipeline.Claim{
		Job: c.Job, Tenant: "local", Subject: c.Subject, TakenAt: c.TakenAt.UTC(), Location: at, Beacons: c.Beacon, WiFi: c.WiFi, Device: device,
	}, err
}

// parseLocation reads LAT,LON or LAT,LON,METRES.
func parseLocation(s string) (pipeline.Location, error) {
	parts := strings.Split(s, ",")
	limits := [3]float64{90, 180, 100_000}
	var n [3]float64
	ok := len(parts) == 2 || len(parts) == 3
	for i := 0; ok && i < len(parts); i++ {
		v, err := strconv.ParseFloat(strings.TrimSpace(parts[i]), 64)
		ok = err == nil && math.Abs(v) <= limits[i] && (i < 2 || v >= 0) // NaN is refused, too
		n[i] = v
	}
	if !ok {
		return pipeline.Location{}, usagef(pipeline.Text{
			EN: fmt.Sprintf("--at %q is no position; write latitude (-90 to 90), longitude (-180 to 180) and, if it is known, the accuracy in metres (0 to 100000), as 31.2353,121.4767,20", s),
			ZH: fmt.Sprintf("--at %q 不是有效位置；请写成 纬度（-90 至 90）,经度（-180 至 180）[,精度（米，0 至 100000）]，例如 31.2353,121.4767,20", s),
		})
	}
	return pipeline.Location{Latitude: n[0], Longitude: n[1], AccuracyM: n[2]}, nil
}
