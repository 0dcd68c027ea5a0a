package ops

// CheckFormat holds the format of something that is kept, as it says itself, against the newest that this program reads. what names
// the thing and where it is, instead is the way on for those who have no newer program. The error is a *UsageError: trying again does not help.
func CheckFormat(what string, found, newest int, instead string) error {
	switch {
	case found > newest:
		return Usagef("%s has format %d, and this version of Tilestream (%s) reads formats up to %d: run the newer version that wrote it, or %s", what, found, Version(), newest, instead)
	case found < 1:
		return Usagef("%s has format %d, which no version of Tilestream writes (this one, %s, reads 1 to %d): put it back from a backup, or %s", what, found, Version(), newest, instead)
	}
	return nil
}
