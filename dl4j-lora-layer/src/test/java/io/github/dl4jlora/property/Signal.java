package io.github.dl4jlora.property;

/** What one example looks like between two layers. */
enum Signal {
    /** {@code [size]}. */
    FLAT,
    /** {@code [size, time]}. */
    SEQUENCE,
    /** {@code [channels, height, width]}. */
    IMAGE,
    /** {@code [channels, depth, height, width]}. */
    VOLUME
}
