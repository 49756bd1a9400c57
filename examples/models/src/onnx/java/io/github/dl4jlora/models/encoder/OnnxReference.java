package io.github.dl4jlora.models.encoder;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.dl4jlora.transformers.Cosine;
import io.github.dl4jlora.transformers.Head;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Sentence embeddings by ONNX Runtime, one text at a time, so without padding. */
final class OnnxReference implements AutoCloseable {

    private static final int BATCH = 8;

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;

    private final Head pooling;

    OnnxReference(PretrainedEncoder encoder) throws IOException, OrtException {
        pooling = encoder.pooling();
        try (InputStream file = encoder.weightsFile();
             OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(1);
            session = environment.createSession(file.readAllBytes(), options);
        }
    }

    /** Mean of the token vectors, or the first, scaled to length 1. */
    double[] embed(int[] ids) throws OrtException {
        long[][] tokens = new long[1][ids.length];
        long[][] attended = new long[1][ids.length];
        for (int i = 0; i < ids.length; i++) {
            tokens[0][i] = ids[i];
            attended[0][i] = 1;
        }
        try (OnnxTensor input = OnnxTensor.createTensor(environment, tokens);
             OnnxTensor mask = OnnxTensor.createTensor(environment, attended);
             OnnxTensor types = OnnxTensor.createTensor(environment, new long[1][ids.length]);
             OrtSession.Result result = session.run(Map.of("input_ids", input, "attention_mask", mask,
                     "token_type_ids", types))) {
            float[][] hidden = ((float[][][]) result.get(0).getValue())[0];
            return unit(pooling.equals(Head.meanPooling()) ? mean(hidden) : first(hidden));
        }
    }

    private static double[] mean(float[][] rows) {
        double[] mean = new double[rows[0].length];
        for (float[] row : rows) {
            for (int i = 0; i < mean.length; i++) {
                mean[i] += row[i] / rows.length;
            }
        }
        return mean;
    }

    private static double[] first(float[][] rows) {
        return IntStream.range(0, rows[0].length).mapToDouble(i -> rows[0][i]).toArray();
    }

    private static double[] unit(double[] vector) {
        double sum = 0;
        for (double value : vector) {
            sum += value * value;
        }
        double length = Math.sqrt(sum);
        for (int i = 0; i < vector.length; i++) {
            vector[i] /= length;
        }
        return vector;
    }

    /**
     * {@return the smallest cosine of these embeddings and those of the network, which has the texts in padded batches}
     *
     * @param least what each text's cosine is at least
     */
    double smallestCosine(ComputationGraph network, Tokenizer tokenizer, List<String> texts, double least) throws OrtException {
        double smallest = 1;
        for (int from = 0; from < texts.size(); from += BATCH) {
            List<String> batch = texts.subList(from, Math.min(from + BATCH, texts.size()));
            INDArray embeddings = network.outputSingle(tokenizer.batch(batch));
            for (int i = 0; i < batch.size(); i++) {
                double cosine = Cosine.of(embeddings.getRow(i).toDoubleVector(), embed(tokenizer.ids(batch.get(i))));
                assertThat(cosine).as(batch.get(i)).isGreaterThanOrEqualTo(least);
                smallest = Math.min(smallest, cosine);
            }
        }
        return smallest;
    }

    @Override
    public void close() throws OrtException {
        session.close();
    }
}
