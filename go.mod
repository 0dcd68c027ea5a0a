module tilestream

go 1.26
