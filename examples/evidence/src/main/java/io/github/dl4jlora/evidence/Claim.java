package io.github.dl4jlora.evidence;

/** A statement from a publication, or from this project, that a reader can check. */
public interface Claim {

    /** {@return what is claimed, and by whom} */
    Statement statement();

    /** {@return the statement's name} */
    default String id() {
        return statement().id();
    }

    /** {@return Maven's option for the profile that it needs, followed by a space; empty if it needs none} */
    default String profiles() {
        return "";
    }

    /**
     * Examines it.
     *
     * @param lab for trainings
     * @return what was found here
     */
    Finding examine(Lab lab);

    /**
     * What is claimed.
     *
     * @param id        a word, for {@code --only}
     * @param says      the claim, in a sentence
     * @param source    who says so, and where
     * @param published what was found there: figures, models, data
     */
    record Statement(String id, String says, Source source, String published) {
    }

    /**
     * A publication.
     *
     * @param title as a reader would look for it
     * @param arxiv its number at arXiv; empty if it has none
     */
    record Source(String title, String arxiv) {

        @Override
        public String toString() {
            return arxiv.isEmpty() ? title : title + ", [arXiv:" + arxiv + "](https://arxiv.org/abs/" + arxiv + ")";
        }
    }
}
