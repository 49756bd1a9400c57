package io.github.dl4jlora.models.minilm;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;

import java.io.IOException;
import java.io.InputStream;
import java.util.Map;

/** Sentence embeddings by ONNX Runtime, one text at a time, so without padding. */
final class OnnxReference implements AutoCloseable {

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;

    OnnxReference() throws IOException, OrtException {
        try (InputStream file = ModelFiles.open(ModelFiles.WEIGHTS);
             OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(1);
            session = environment.createSession(file.readAllBytes(), options);
        }
    }

    /** Mean of the token vectors, scaled to length 1. */
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
            return unit(mean(hidden));
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

    @Override
    public void close() throws OrtException {
        session.close();
    }
}
