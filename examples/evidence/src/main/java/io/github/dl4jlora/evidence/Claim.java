package io.github.dl4jlora.evidence;

/** A statement from a publication, or from this project, that a reader can check. */
public interface Claim {

    /** {@return a word, for {@code --only}} */
    String id();

    /** {@return what is claimed, in a sentence} */
    String says();

    /** {@return who says so, and where} */
    Source source();

    /** {@return what was found there: figures, models, data} */
    String published();

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
