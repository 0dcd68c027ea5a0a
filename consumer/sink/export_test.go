package sink

// PGName shows the tests how names are cut.
var PGName = pgDialect.name
