package sink

// SnowflakeWithoutMerge has rows merged by UPDATE and INSERT, for an emulator that knows no MERGE in a transaction which has changed
// something. It returns what undoes it.
func SnowflakeWithoutMerge() (undo func()) {
	snowflakeDialect.merge = false
	return func() { snowflakeDialect.merge = true }
}
