package io.github.dl4jlora.serve.trial;

import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Writes and reads rows of numbers by hand, as the guide's examples in other languages do. */
final class Rows {

    static final String JSON = "application/json";
    static final String SAFETENSORS = "application/safetensors";

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private Rows() {
    }

    static byte[] json(float[][] rows) {
        StringBuilder text = new StringBuilder("{\"inputs\": [");
        for (int i = 0; i < rows.length; i++) {
            for (int j = 0; j < rows[i].length; j++) {
                text.append(j > 0 ? ", " : i > 0 ? ", [" : "[").append(rows[i][j]);
            }
            text.append(']');
        }
        return text.append("]}").toString().getBytes(StandardCharsets.UTF_8);
    }

    static byte[] safetensors(float[][] rows) {
        int bytes = Float.BYTES * rows.length * rows[0].length;
        byte[] header = ("{\"input\": {\"dtype\": \"F32\", \"shape\": [" + rows.length + ", " + rows[0].length
                + "], \"data_offsets\": [0, " + bytes + "]}}").getBytes(StandardCharsets.UTF_8);
        ByteBuffer file = ByteBuffer.allocate(Long.BYTES + header.length + bytes).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(header.length).put(header);
        for (float[] row : rows) {
            for (float value : row) {
                file.putFloat(value);
            }
        }
        return file.array();
    }

    /** Reads an answer of either type. */
    static float[][] read(Connection.Answer answer) throws IOException {
        return answer.type().startsWith(JSON)
                ? MAPPER.treeToValue(MAPPER.readTree(answer.body()).get("outputs"), float[][].class)
                : fromSafetensors(ByteBuffer.wrap(answer.body()).order(ByteOrder.LITTLE_ENDIAN));
    }

    private static float[][] fromSafetensors(ByteBuffer file) throws IOException {
        byte[] header = new byte[(int) file.getLong()];
        file.get(header);
        JsonNode shape = MAPPER.readTree(header).at("/output/shape");
        float[][] rows = new float[shape.get(0).asInt()][shape.get(1).asInt()];
        for (float[] row : rows) {
            for (int i = 0; i < row.length; i++) {
                row[i] = file.getFloat();
            }
        }
        return rows;
    }
}
