package io.github.dl4jlora.internal.stored;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.preprocessor.ImagePreProcessingScaler;
import org.nd4j.linalg.dataset.api.preprocessor.MinMaxStrategy;
import org.nd4j.linalg.dataset.api.preprocessor.MultiNormalizerHybrid;
import org.nd4j.linalg.dataset.api.preprocessor.MultiNormalizerMinMaxScaler;
import org.nd4j.linalg.dataset.api.preprocessor.MultiNormalizerStandardize;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerMinMaxScaler;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStrategy;
import org.nd4j.linalg.dataset.api.preprocessor.StandardizeStrategy;
import org.nd4j.linalg.dataset.api.preprocessor.serializer.NormalizerType;
import org.nd4j.linalg.dataset.api.preprocessor.stats.DistributionStats;
import org.nd4j.linalg.dataset.api.preprocessor.stats.MinMaxStats;
import org.nd4j.linalg.dataset.api.preprocessor.stats.NormalizerStats;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.ObjectStreamConstants;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;

/**
 * A normalizer as DL4J's NormalizerSerializer writes it, of the types that come with DL4J. DL4J's own reader makes an object of
 * any class that the type CUSTOM names, and DL4J's ModelSerializer treats what it cannot read as a serialised Java object; both
 * are refused here.
 */
final class StoredNormalizer {

    /** Bytes of the longest normalizer: means and deviations of four million features. */
    static final int LONGEST = 64 << 20;

    private static final String HEADER = "NORMALIZER";
    private static final int VERSION = 1;
    /** Most inputs or outputs of a network. */
    private static final int MOST = 1000;
    private static final String REMEDY = ". If it is needed, read it from a network that you trust with DL4J's ModelSerializer, "
            + "and add it again with ModelSerializer.addNormalizerToModel; otherwise delete the entry from the file";

    private final DataInputStream in;

    private StoredNormalizer(byte[] bytes) {
        in = new DataInputStream(new ByteArrayInputStream(bytes));
    }

    /**
     * Reads a normalizer.
     *
     * @param bytes at most {@link #LONGEST}
     * @throws IOException if it is damaged, or of a type that is not read
     */
    static Normalizer<?> read(byte[] bytes) throws IOException {
        if (bytes.length > 1 && ByteBuffer.wrap(bytes).getShort() == ObjectStreamConstants.STREAM_MAGIC) {
            throw new IOException("it is a serialised Java object, which is never read" + REMEDY);
        }
        try {
            return new StoredNormalizer(bytes).read();
        } catch (EOFException e) {
            throw new IOException("it ends early", e);
        } catch (RuntimeException e) {
            throw new IOException("it is damaged: " + e.getMessage(), e);
        }
    }

    private Normalizer<?> read() throws IOException {
        if (!in.readUTF().equals(HEADER) || in.readInt() != VERSION) {
            throw new IOException("it does not begin like DL4J's normalizers" + REMEDY);
        }
        String type = in.readUTF();
        if (type.equals(NormalizerType.STANDARDIZE.name())) {
            return standardize();
        } else if (type.equals(NormalizerType.MIN_MAX.name())) {
            return minMax();
        } else if (type.equals(NormalizerType.IMAGE_MIN_MAX.name())) {
            return images();
        } else if (type.equals(NormalizerType.MULTI_STANDARDIZE.name())) {
            return multiStandardize();
        } else if (type.equals(NormalizerType.MULTI_MIN_MAX.name())) {
            return multiMinMax();
        } else if (type.equals(NormalizerType.MULTI_HYBRID.name())) {
            return hybrid();
        }
        throw new IOException("it is of the type " + (type.equals(NormalizerType.CUSTOM.name())
                ? type + ", which names a class to run, and is never read" : "\"" + type + "\", which is unknown") + REMEDY);
    }

    private NormalizerStandardize standardize() throws IOException {
        boolean labels = in.readBoolean();
        NormalizerStandardize result = pair(NormalizerStandardize::new);
        result.fitLabel(labels);
        if (labels) {
            INDArray[] ofLabels = pair();
            result.setLabelStats(ofLabels[0], ofLabels[1]);
        }
        return result;
    }

    private NormalizerMinMaxScaler minMax() throws IOException {
        boolean labels = in.readBoolean();
        NormalizerMinMaxScaler result = new NormalizerMinMaxScaler(in.readDouble(), in.readDouble());
        result.fitLabel(labels);
        INDArray[] ofFeatures = pair();
        result.setFeatureStats(ofFeatures[0], ofFeatures[1]);
        if (labels) {
            INDArray[] ofLabels = pair();
            result.setLabelStats(ofLabels[0], ofLabels[1]);
        }
        return result;
    }

    private ImagePreProcessingScaler images() throws IOException {
        ImagePreProcessingScaler result = new ImagePreProcessingScaler(in.readDouble(), in.readDouble());
        result.setMaxPixelVal(in.readDouble());
        return result;
    }

    private MultiNormalizerStandardize multiStandardize() throws IOException {
        boolean labels = in.readBoolean();
        int inputs = count();
        int outputs = in.readInt();
        MultiNormalizerStandardize result = new MultiNormalizerStandardize();
        result.fitLabel(labels);
        result.setFeatureStats(pairs(inputs, DistributionStats::new));
        if (labels) {
            result.setLabelStats(pairs(counted(outputs), DistributionStats::new));
        }
        return result;
    }

    private MultiNormalizerMinMaxScaler multiMinMax() throws IOException {
        boolean labels = in.readBoolean();
        int inputs = count();
        int outputs = in.readInt();
        MultiNormalizerMinMaxScaler result = new MultiNormalizerMinMaxScaler(in.readDouble(), in.readDouble());
        result.fitLabel(labels);
        result.setFeatureStats(pairs(inputs, MinMaxStats::new));
        if (labels) {
            result.setLabelStats(pairs(counted(outputs), MinMaxStats::new));
        }
        return result;
    }

    private MultiNormalizerHybrid hybrid() throws IOException {
        MultiNormalizerHybrid result = new MultiNormalizerHybrid();
        result.setInputStats(statistics());
        result.setOutputStats(statistics());
        result.setGlobalInputStrategy(strategy());
        result.setGlobalOutputStrategy(strategy());
        result.setPerInputStrategies(strategies());
        result.setPerOutputStrategies(strategies());
        return result;
    }

    private Map<Integer, NormalizerStats> statistics() throws IOException {
        Map<Integer, NormalizerStats> result = new HashMap<>();
        for (int left = count(); left > 0; left--) {
            int index = in.readInt();
            result.put(index, switch (in.readInt()) {
                case 1 -> pair(DistributionStats::new);
                case 2 -> pair(MinMaxStats::new);
                default -> throw new IOException("it has statistics of an unknown kind");
            });
        }
        return result;
    }

    private Map<Integer, @Nullable NormalizerStrategy> strategies() throws IOException {
        Map<Integer, @Nullable NormalizerStrategy> result = new HashMap<>();
        for (int left = count(); left > 0; left--) {
            int index = in.readInt();
            result.put(index, strategy());
        }
        return result;
    }

    /** Null where DL4J was given none. */
    private @Nullable NormalizerStrategy<?> strategy() throws IOException {
        return switch (in.readInt()) {
            case 0 -> null;
            case 1 -> new StandardizeStrategy();
            case 2 -> new MinMaxStrategy(in.readDouble(), in.readDouble());
            default -> throw new IOException("it has a strategy of an unknown kind");
        };
    }

    private int count() throws IOException {
        return counted(in.readInt());
    }

    private static int counted(int count) throws IOException {
        if (count < 0 || count > MOST) {
            throw new IOException("it claims to be for " + count + " inputs or outputs; at most " + MOST + " are read");
        }
        return count;
    }

    private <T> List<T> pairs(int count, BiFunction<INDArray, INDArray, T> maker) throws IOException {
        List<T> pairs = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            pairs.add(pair(maker));
        }
        return pairs;
    }

    private <T> T pair(BiFunction<INDArray, INDArray, T> maker) throws IOException {
        INDArray[] arrays = pair();
        return maker.apply(arrays[0], arrays[1]);
    }

    private INDArray[] pair() throws IOException {
        INDArray first = StoredArray.read(in, in.available());
        INDArray second = StoredArray.read(in, in.available());
        if (first.length() != second.length()) {
            throw new IOException("its two statistics have different lengths, " + first.length() + " and " + second.length());
        }
        return new INDArray[] {first, second};
    }
}
