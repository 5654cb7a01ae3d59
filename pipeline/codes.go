package pipeline

// Codes lists all codes in the order in which reasons of one check and one weight are shown: what speaks most clearly comes first.
var Codes = []Code{
	FaceMismatch, FaceChanged, NoFace, SeveralPeople, FaceUncertain, FaceLowQuality,
	ChallengeFailed, ChallengeMissing, SpoofSuspected, LivenessUncertain,
	StorefrontMismatch, EnvironmentMismatch, LogoMissing, SignNotRead, PosterOutdated, PosterDiffers, PosterMissing, DeskMissing, ScreenMissing, CabinetMissing, RoomMissing, PersonMissing,
	FootageReused, SameContent, HistoryIncomplete,
	StaticImage, ReplayedWithinClip, FrozenPart, InjectedStream, StreamAltered, ClockSkew,
	OutsideGeofence, ImpossibleTravel, MockLocation, LocationConflict, BeaconMissing, SharedDevice, ManyPlaces, LocationInexact, LocationMissing, OddHour,
	WordsNotSaid, VoiceWithoutLips, NoSpeech,
	CheckFailed, NotCheckedWanted,
}
