"""One layer at a time: decompress, walk the tar, hand files to catalogers, keep what coalescing needs."""
