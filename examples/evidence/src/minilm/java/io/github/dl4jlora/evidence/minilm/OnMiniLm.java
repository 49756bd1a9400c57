package io.github.dl4jlora.evidence.minilm;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;

/** A claim that is examined elsewhere too, under a name of its own. */
record OnMiniLm(Claim claim) implements Claim {

    @Override
    public String id() {
        return claim.id() + "-minilm";
    }

    @Override
    public String says() {
        return "MiniLM: " + claim.says();
    }

    @Override
    public Source source() {
        return claim.source();
    }

    @Override
    public String published() {
        return claim.published();
    }

    @Override
    public String profiles() {
        return "-Pminilm ";
    }

    @Override
    public Finding examine(Lab lab) {
        return claim.examine(lab);
    }
}
