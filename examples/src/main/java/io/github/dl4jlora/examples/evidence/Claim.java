package io.github.dl4jlora.examples.evidence;

/** Something that was published, or that this project says, and that a reader can have examined. */
public interface Claim {

    /** {@return a word, for {@code --only}} */
    String id();

    /** {@return what is claimed, in a sentence} */
    String says();

    /** {@return who says so, and where} */
    Source source();

    /** {@return what was found there: figures, models, data} */
    String published();

    /** {@return Maven's option for the profile that it needs, with a space behind; empty for none} */
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
     * @param arxiv its number at arXiv; empty for what is none
     */
    record Source(String title, String arxiv) {

        @Override
        public String toString() {
            return arxiv.isEmpty() ? title : title + ", [arXiv:" + arxiv + "](https://arxiv.org/abs/" + arxiv + ")";
        }
    }
}
