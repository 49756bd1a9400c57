package io.github.dl4jlora.internal.file;

import java.util.HashSet;
import java.util.Set;

/** An object that takes Java twice as long to deserialise for each level of it. */
final class HostileObject {

    private HostileObject() {
    }

    /** Sets in sets, each in two others: hashing the outermost walks all ways through them. */
    static Set<Object> nested(int depth) {
        Set<Object> root = new HashSet<>();
        Set<Object> left = root;
        Set<Object> right = new HashSet<>();
        for (int i = 0; i < depth; i++) {
            Set<Object> nextLeft = new HashSet<>();
            Set<Object> nextRight = new HashSet<>();
            nextLeft.add("differs");
            left.add(nextLeft);
            left.add(nextRight);
            right.add(nextLeft);
            right.add(nextRight);
            left = nextLeft;
            right = nextRight;
        }
        return root;
    }
}
