package sink

// SnowflakeWithoutMerge has a sink merge rows by UPDATE and INSERT, for an emulator that knows no MERGE in a transaction which has
// changed something.
func SnowflakeWithoutMerge(to Sink) {
	s := to.(*staged)
	without := *s.dialect
	without.merge = false
	s.dialect = &without
}
