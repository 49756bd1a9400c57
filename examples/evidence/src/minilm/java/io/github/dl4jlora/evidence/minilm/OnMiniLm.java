package io.github.dl4jlora.evidence.minilm;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;

/** A claim that is examined elsewhere too, under a name of its own. */
record OnMiniLm(Claim claim) implements Claim {

    @Override
    public Statement statement() {
        Statement other = claim.statement();
        return new Statement(other.id() + "-minilm", "MiniLM: " + other.says(), other.source(), other.published());
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
