package io.github.dl4jlora.internal.start;

import org.deeplearning4j.nn.graph.util.ComputationGraphUtil;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * A walk over the first batches of a user's data, with lines on its progress.
 *
 * @param iterator at its beginning before and after
 * @param progress gets lines
 */
public record DataPass(MultiDataSetIterator iterator, Consumer<String> progress) {

    /**
     * @param progress null: nobody wants to know
     * @throws IllegalArgumentException if the iterator is null or cannot be reset
     */
    public static DataPass over(DataSetIterator data, @Nullable Consumer<String> progress) {
        requireResettable(data, data != null && data.resetSupported());
        return new DataPass(ComputationGraphUtil.toMultiDataSetIterator(data), orNobody(progress));
    }

    /** As {@link #over(DataSetIterator, Consumer)}. */
    public static DataPass over(MultiDataSetIterator data, @Nullable Consumer<String> progress) {
        requireResettable(data, data != null && data.resetSupported());
        return new DataPass(data, orNobody(progress));
    }

    private static Consumer<String> orNobody(@Nullable Consumer<String> progress) {
        return progress != null ? progress : line -> {
        };
    }

    private static void requireResettable(Object data, boolean can) {
        if (data == null) {
            throw new IllegalArgumentException("The data to start from is null: give an iterator over the data that the network "
                    + "is to be trained on, or call LoRA.apply(base, config)");
        }
        if (!can) {
            throw new IllegalArgumentException("The data to start from, a " + data.getClass().getSimpleName() + ", cannot be "
                    + "reset: the batches that a start looks at would be missing in training. Give an iterator that can be "
                    + "reset, for example a ListDataSetIterator of some batches");
        }
    }

    /**
     * Walks over the data.
     *
     * @param step gets each batch, and says whether it wants another
     * @throws IllegalArgumentException if there is none
     */
    void walk(Predicate<MultiDataSet> step) {
        iterator.reset();
        try {
            if (!iterator.hasNext()) {
                throw new IllegalArgumentException("The data to start from is empty: the iterator has no batch. Give an iterator "
                        + "over the data that the network is to be trained on");
            }
            boolean more = true;
            while (more && iterator.hasNext()) {
                more = step.test(iterator.next());
            }
        } finally {
            iterator.reset();
        }
    }
}
