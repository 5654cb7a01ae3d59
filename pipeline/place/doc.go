// Package place asks whether an upload was made where it should have been: the claimed position against the site's geofence, beacons and
// Wi-Fi stations, the position inside the file against the claimed one, and the claim against what the same person and the same device
// claimed before.
//
// All of it is arithmetic over what a device says and what the server knows. Nothing of it is proof: a device's owner can make it say
// anything. The rules are pure functions, see Check; no coordinates go into a check's detail, its texts or its evidence, only distances.
package place
