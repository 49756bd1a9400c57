package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/** The groups of a batch's texts, which {@link InBatchNegatives} has for labels. */
final class TextGroups {

    private TextGroups() {
    }

    /**
     * {@return the group of each row}
     *
     * @throws IllegalArgumentException if rows are no pairs and hard negatives, or the groups contradict each other
     */
    static double[] of(INDArray labels, INDArray embeddings, int hardNegatives) {
        long rows = embeddings.size(0);
        int ofAPair = 2 + hardNegatives;
        if (embeddings.rank() != 2 || rows % ofAPair != 0 || labels.size(0) != rows || labels.length() != rows) {
            throw new IllegalArgumentException("Embeddings of shape " + Arrays.toString(embeddings.shape())
                    + " and groups of shape " + Arrays.toString(labels.shape())
                    + ", but they must be [" + ofAPair + "·pairs, hidden], queries above their documents"
                    + (hardNegatives == 0 ? "" : ", those above " + hardNegatives + " hard negatives of each query")
                    + ", and [" + ofAPair + "·pairs, 1]");
        }
        double[] groups = labels.dup('c').reshape(rows).toDoubleVector();
        requireTold(groups, labels.dataType());
        int pairs = (int) (rows / ofAPair);
        for (int i = 0; i < pairs; i++) {
            double query = groups[i];
            double document = groups[pairs + i];
            if (query != document) {
                throw new IllegalArgumentException("Query " + i + " is of group " + query + ", but its document, "
                        + "row " + (pairs + i) + ", is of group " + document + ": give both the same group, and keep "
                        + "documents in the order of their queries");
            }
        }
        for (int row = 2 * pairs; row < groups.length; row++) {
            if (groups[row] == groups[row % pairs]) {
                throw new IllegalArgumentException("Row " + row + ", a hard negative of query " + row % pairs + ", is of that "
                        + "query's group, " + groups[row] + ", and would never count: give it the group of the document that it "
                        + "is, or a number that no query has");
            }
        }
        return groups;
    }

    /** Beyond these, two groups may be one number. */
    private static void requireTold(double[] groups, DataType type) {
        double most = switch (type) {
            case BFLOAT16 -> 1 << 8;
            case HALF -> 1 << 11;
            case FLOAT -> 1 << 24;
            default -> 1L << 53;
        };
        for (int row = 0; row < groups.length; row++) {
            if (Math.abs(groups[row]) >= most) {
                throw new IllegalArgumentException("Row " + row + " is of group " + groups[row] + ", but " + type + " cannot "
                        + "hold every whole number from " + (long) most + " on, so that two groups may become one: number the "
                        + "groups of each batch from 0, or give labels of a wider type");
            }
        }
    }
}
