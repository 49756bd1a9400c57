package io.github.dl4jlora.property;

/** What becomes of a layer; layers are named by it, so that one pattern finds all of a role. */
enum Role {
    FROZEN("f"), ADAPTED("a"), TRAINED("t");

    final String letter;

    Role(String letter) {
        this.letter = letter;
    }

    /** Matches the names of all layers of this role. */
    String pattern() {
        return letter + ".*";
    }
}
