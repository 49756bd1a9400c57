package io.github.dl4jlora.examples.enlarge;

import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;

/** Enlarges without learning: by Java's bicubic interpolation, or by repeating each pixel. */
final class Bicubic {

    private Bicubic() {
    }

    static Picture enlarge(Picture picture) {
        return enlarge(picture, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
    }

    static Picture enlargePixels(Picture picture) {
        return enlarge(picture, RenderingHints.VALUE_INTERPOLATION_NEAREST_NEIGHBOR);
    }

    private static Picture enlarge(Picture picture, Object interpolation) {
        BufferedImage image = new BufferedImage(2 * picture.width(), 2 * picture.height(), BufferedImage.TYPE_INT_RGB);
        Graphics2D pen = image.createGraphics();
        pen.setRenderingHint(RenderingHints.KEY_INTERPOLATION, interpolation);
        pen.drawImage(picture.image(), 0, 0, image.getWidth(), image.getHeight(), null);
        pen.dispose();
        return Picture.of(image);
    }
}
